"""matrix.py RESULTS PAGE: writes the fidelity matrix from what the contract tests of one or more SDKs recorded.

RESULTS has a folder for each pair of Python and SDK, and in it one for each process that ran tests: outcomes.json (the
tests) and calls.jsonl (the public methods that the tests' user code called, and how that went). A method works if a call of it returned in a test that passed; if all calls in
such tests raised, it is not there, and what was raised is what the user sees. Nothing is entered by hand but how
something differs: the marker `differs` on a test that shows it.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RANK = ("works", "differs", "not there", "fails", "not tried", "-")

HEAD = """# Azure ML v1 SDK: what works

Written by `tests/run compatibility` from what the contract tests really called; do not edit. Each test is a plain script
with the genuine packages, unmodified, against a coordinator on the same machine, with no way to any other.

| mark | meaning |
| --- | --- |
| works | a call of it returned, in a test that checks the effect and passed |
| differs | as above, but not in every respect as with the service; how is said |
| not there | it raises; what the user sees is said |
| fails | it should work, but the test that calls it fails |
| not tried | no test calls it |
| - | this version of the SDK does not have it |
"""


class Pair:
    """One Python and SDK, and what was recorded with it."""

    def __init__(self, folder):
        self.name = folder.name
        python = ROOT / f"build/tools/sdk-{self.name}/bin/python"
        listed = subprocess.run(
            [python, ROOT / "tests/contract/client/introspect.py"], capture_output=True, text=True, check=True
        )
        self.sdk = json.loads(listed.stdout.splitlines()[-1])
        self.outcomes, self.calls, self.differs = {}, {}, {}
        for file in folder.glob("*/outcomes.json"):
            self.outcomes.update(json.loads(file.read_text()))
        for file in folder.glob("*/calls.jsonl"):
            for row in map(json.loads, file.read_text().splitlines()):
                self.calls.setdefault((row["class"], row["name"]), []).append(row)
        for outcome in self.outcomes.values():
            for method, how in outcome["differs"] if outcome["outcome"] == "passed" else []:
                self.differs[tuple(method.split("."))] = how

    def has(self, owner, name):
        return any(m["owner"] == owner and m["name"] == name for c in self.sdk["classes"] for m in c["members"])

    def state(self, owner, name):
        """(mark, words)"""
        if not self.has(owner, name):
            return "-", ""
        calls = self.calls.get((owner, name), [])
        passed = [row for row in calls if self.outcomes.get(row["test"], {}).get("outcome") == "passed"]
        if (owner, name) in self.differs:
            return "differs", self.differs[owner, name]
        if any("raised" not in row for row in passed):
            return "works", "inside a run" if all(row["inside"] for row in passed) else ""
        if passed:
            return "not there", f"`{passed[0]['raised']}`: {passed[0]['words']}"
        if calls:
            raised = [row for row in calls if "raised" in row]
            return "fails", f"`{raised[0]['raised']}`: {raised[0]['words']}" if raised else ""
        return "not tried", ""

    def row(self):
        counts = {}
        for outcome in self.outcomes.values():
            counts[outcome["outcome"]] = counts.get(outcome["outcome"], 0) + 1
        packages = ", ".join(f"{name} {version}" for name, version in sorted(self.sdk["packages"].items()))
        tests = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), reverse=True))
        return f"| {self.sdk['python']} | {packages} | {tests} |"

    def label(self):
        python, version = self.name.split("-")
        return f"{version} on {python}"


def cell(words, limit=250):
    """Words that fit into a table: one line, without addresses and ids, which change from run to run.

    Where the SDK shows an answer's whole body, the message in it is what matters.
    """
    body = re.search(r'"error":.*?"message": *"((?:[^"\\]|\\.)*)"', words, re.DOTALL)
    if body:
        words = words.partition("`: ")[0] + "`: ... " + body[1].replace("\\'", "'") + " ..."
    words = re.sub(r"https?://\S+", "<address>", " ".join(words.split()))
    words = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>", words)
    words = re.sub(r"\b[0-9a-f]{16,}\b|_[0-9]{10}_[0-9a-f]{8}", "<id>", words)
    words = words if len(words) <= limit else words[: limit - 3] + "..."
    return words.replace("|", "\\|")


def method_row(pairs, member):
    states = [pair.state(member["owner"], member["name"]) for pair in pairs]
    marks = [mark for mark, _ in states]
    # words of the mark that says most; the same for all pairs in most rows
    worst = max((state for state in states if state[0] != "-"), key=lambda state: RANK.index(state[0]), default=("-", ""))
    words = worst[1] or next((words for _, words in states if words), "")
    return f"| `{member['shown']}` | " + " | ".join(marks) + f" | {cell(words)} |"


def page(pairs):
    lines = [HEAD, "## What was run", "", "| Python | packages | tests |", "| --- | --- | --- |"]
    lines += [pair.row() for pair in pairs]
    titles, sections = [], {}
    for pair in pairs:
        for section in pair.sdk["classes"]:
            known = sections.setdefault(section["title"], {})
            titles += [section["title"]] if section["title"] not in titles else []
            for member in section["members"]:
                known.setdefault((member["owner"], member["name"]), member)
    for title in titles:
        columns = " | ".join(pair.label() for pair in pairs)
        lines += ["", f"## {title}", "", f"| method | {columns} | |", "| --- |" + " --- |" * (len(pairs) + 1)]
        lines += [method_row(pairs, sections[title][key]) for key in sorted(sections[title], key=lambda key: key[1])]
    return "\n".join(lines) + "\n"


def main():
    results, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folders = [folder for folder in results.iterdir() if any(folder.glob("*/outcomes.json"))]
    if not folders:
        sys.exit("no contract tests were run: there is nothing to write down")
    newest_first = sorted(folders, key=lambda f: [int(n) for n in re.findall(r"\d+", f.name)][::-1], reverse=True)
    output.write_text(page([Pair(folder) for folder in newest_first]))
    print(f"wrote {output}")


if __name__ == "__main__":
    main()
