"""`python -m marey` and the `marey` command."""

import os


def main() -> None:
    """Start the command.

    Threads of torch that wait for each other sleep instead of spinning. Beside decoding processes or other programs on the
    same cores an epoch then took a third of the time, and alone no longer (docs/performance/threads.md). OpenMP reads the
    variable once, when torch is loaded, so it is set here; a value of the user's own stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from marey.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
