"""`python -m gander`, which is what torchrun starts."""

from gander.cli.main import main

if __name__ == "__main__":
    main()
