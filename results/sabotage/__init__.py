"""The sabotage suite: runs that are broken on purpose, and what the doctor says of them."""
