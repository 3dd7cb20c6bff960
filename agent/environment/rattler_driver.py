"""Makes one conda environment with rattler's solver and installer: python rattler_driver.py ORDER.json

ORDER.json: {"prefix": folder, "channels": [name or URL], "specs": [match spec], "cache": folder of packages,
"alias": URL in front of channels' names, "offline": bool}. What happens comes out line by line. Exit codes: 0 done,
3 nothing satisfies the specs, 4 a channel can't be reached, 5 anything else; then the last line begins with "error:".
"""

import asyncio
import json
import os
import sys
import time

import rattler
from rattler import exceptions

PUBLIC = "https://conda.anaconda.org/"
# conda's own meaning of a name that is no channel by itself
DEFAULTS = ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"]
NETWORK_SIGNS = ("error sending request", "connect error", "dns error", "timed out", "status client error", "status server error")


def say(line):
    print(line, flush=True)


def channels_of(order):
    """conda's `nodefaults` is a word against the user's own settings, of which there are none here."""
    config = rattler.ChannelConfig(channel_alias=(order["alias"] or PUBLIC).rstrip("/") + "/")
    names = [name for name in order["channels"] if name != "nodefaults"]
    if not order["alias"]:
        names = [part for name in names for part in (DEFAULTS if name == "defaults" else [name])]
    return [rattler.Channel(name, config) for name in names]


class Progress:
    """A line for each package: when it was fetched, and how many are in place."""

    def __init__(self, records):
        self.sizes = {record.name.normalized: record.size or 0 for record in records}
        self.entries, self.downloads, self.links = [], [], []
        self.linked = 0
        self.scripts, self.failed = [], []

    def on_populate_cache_start(self, operation, package_name):
        self.entries.append(package_name)
        return len(self.entries) - 1

    def on_download_start(self, cache_entry):
        name = self.entries[cache_entry]
        self.downloads.append((name, time.monotonic()))
        say(f"fetching {name} ({self.sizes.get(name, 0) / 1e6:.1f} MB)")
        return len(self.downloads) - 1

    def on_download_completed(self, download_idx):
        name, begun = self.downloads[download_idx]
        say(f"fetched {name} in {time.monotonic() - begun:.1f} s")

    def on_link_complete(self, index):
        self.linked += 1
        if self.linked % 20 == 0:
            say(f"{self.linked} of {len(self.sizes)} packages are in place")

    def on_post_link_start(self, package_name, script_path):
        self.scripts.append((package_name, script_path))
        return len(self.scripts) - 1

    def on_post_link_complete(self, index, success):
        if not success:
            self.failed.append("the install script '{1}' of package '{0}' failed".format(*self.scripts[index]))

    def __getattr__(self, name):  # the steps that say nothing new
        if name.startswith("on_"):
            return lambda *_: 0
        raise AttributeError(name)


async def solve(order):
    """As conda: pip comes with Python where there is one, and the first channel that has a package wins if that fits."""
    gateway = rattler.Gateway(
        cache_dir=os.path.join(order["cache"], "repodata"),
        default_config=rattler.SourceConfig(cache_action="force-cache-only" if order["offline"] else "cache-or-fetch"),
    )
    strict, any_channel = rattler.ChannelPriority.Strict, rattler.ChannelPriority.Disabled
    refusal = None
    for priority, pip in ((strict, True), (strict, False), (any_channel, False)):
        try:
            return await rattler.solve(
                sources=channels_of(order),
                specs=order["specs"],
                gateway=gateway,
                platforms=[rattler.Subdir.current(), "noarch"],
                virtual_packages=rattler.VirtualPackage.detect(),
                channel_priority=priority,
                add_pip_as_python_dependency=pip,
            )
        except exceptions.SolverError as error:
            if not pip:
                refusal = refusal or error
    raise refusal


async def make(order):
    begun = time.monotonic()
    say("solving for " + ", ".join(order["specs"]))
    records = await solve(order)
    say(f"solved in {time.monotonic() - begun:.2f} s: {len(records)} packages")
    progress = Progress(records)
    await rattler.install(
        records=records,
        target_prefix=order["prefix"],
        cache_dir=os.path.join(order["cache"], "pkgs"),
        execute_link_scripts=True,
        reporter=progress,
    )
    if progress.failed:
        raise RuntimeError("; ".join(progress.failed))
    for record in sorted(records, key=lambda record: record.name.normalized):
        say(f" + {record.name.normalized} {record.version} {record.build}")


def failure(error):
    """(exit code, words) of an exception."""
    text = str(error).strip()
    if isinstance(error, (exceptions.SolverError, exceptions.InvalidMatchSpecError)):
        return 3, text
    lowered = text.lower()
    if any(sign in lowered for sign in NETWORK_SIGNS) or "no usable repodata cache" in lowered:
        return 4, text
    return 5, f"{text or type(error).__name__}"


def main():
    with open(sys.argv[1]) as file:
        order = json.load(file)
    try:
        asyncio.run(make(order))
        code = 0
    except Exception as error:
        code, words = failure(error)
        say("error: " + words)
    os._exit(code)  # in order it can abort on the way out, after an error


main()
