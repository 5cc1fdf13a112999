"""The nets: settings that build generators and discriminators, and what is done to them."""
