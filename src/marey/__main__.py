"""`python -m marey` and the `marey` command."""

import os


def main() -> None:
    """Start the command.

    OMP_WAIT_POLICY=PASSIVE lets torch's threads sleep instead of spin while they wait for each other. With decoding
    processes or other programs on the same cores, an epoch then took a third of the time; without them, it took no
    longer (docs/performance/threads.md). OpenMP reads the variable once, when torch is loaded, so it is set before that. A
    value that the user set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from marey.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
