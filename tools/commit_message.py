"""Check the message of a commit: `python tools/commit_message.py FILE`, which the hook of pre-commit calls.

The subject has fewer than 72 characters. An empty line and a body follow, which explains why. Merges, and commits that a
rebase joins with others, need no body.
"""

import re
import sys
from pathlib import Path

LONGEST = 71
"""Characters that a subject may have."""
_WITHOUT_BODY = ("Merge ", "fixup! ", "squash! ", "amend! ")
_SCISSORS = re.compile(r"^# -+ >8 -+$.*", re.MULTILINE | re.DOTALL)
"""The line below which `git commit --verbose` shows the changes, and all that follows."""
_NO_REASON = re.compile(r"#|(Signed-off-by|Co-authored-by): ", re.IGNORECASE)
"""Lines that are no part of a body: git's comments, and who wrote the commit."""


def problem_with(message: str) -> str | None:
    """What is wrong with a commit's message, in one line; None if nothing is."""
    lines = [line.rstrip() for line in _SCISSORS.sub("", message).splitlines() if not _NO_REASON.match(line)]
    subject, *rest = "\n".join(lines).strip().split("\n")
    if len(subject) > LONGEST:
        return f"the subject has {len(subject)} characters; shorten it to {LONGEST} at most"
    if subject.startswith(_WITHOUT_BODY):
        return None
    if not rest:
        return "the message has no body; add one after an empty line, which explains why"
    if rest[0]:
        return "the second line is not empty; separate the body from the subject by an empty line"
    return None


def main() -> None:
    """Exit with the problem of the message in the file that the command line names, if it has one."""
    sys.exit(problem_with(Path(sys.argv[1]).read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
