"""`python -m marey` and the `marey` command."""

from marey.cli.app import main

if __name__ == "__main__":
    main()
