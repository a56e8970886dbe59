"""`python -m marey` and the `marey` command."""

import os


def main() -> None:
    """Start the command.

    Threads of torch that wait for each other sleep instead of spinning. Beside decoding processes or other programs on the
    same cores that is several times faster, and alone it is no slower (docs/performance/threads.md). OpenMP reads the
    variable once, when torch is loaded, so it is set here; a value of the user's own stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from marey.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
