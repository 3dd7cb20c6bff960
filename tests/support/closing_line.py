"""closing_line.py RESULTS-FOLDER FAILED-STAGES: sums the JUnit files of all test runners into one line.

A stage that failed without a failed test in any file (a check, a build, a crash) counts as one failed test.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count(file: pathlib.Path) -> tuple[int, int, int]:
    """Passed, failed and skipped test cases. ctest, GoogleTest and pytest spell them in different ways."""
    passed = failed = skipped = 0
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        status = case.get("status", "run")
        result = case.get("result", "")
        if case.find("failure") is not None or case.find("error") is not None or status == "fail":
            failed += 1
        elif (
            case.find("skipped") is not None or status in ("notrun", "disabled") or result in ("skipped", "suppressed")
        ):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main() -> int:
    folder, failed_stages = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    passed = failed = skipped = 0
    for file in sorted(folder.glob("*.xml")):
        try:
            more = count(file)
        except ElementTree.ParseError:
            more = (0, 1, 0)  # the runner died while it wrote
        passed, failed, skipped = passed + more[0], failed + more[1], skipped + more[2]
    failed = max(failed, failed_stages)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
