"""Times as the service writes and reads them."""

import datetime
import re

_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?$")


def iso(seconds):
    """Seconds since 1970 as 2026-11-23T14:36:50.954812Z."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def epoch(text):
    """Seconds since 1970 of an ISO time or of such seconds as text; None for anything else."""
    text = str(text or "").strip()
    try:
        return float(text)
    except ValueError:
        pass
    match = _ISO.match(text)
    if not match:
        return None
    zone = (match.group(2) or "Z").replace("Z", "+0000").replace(":", "")
    moment = match.group(1).replace(" ", "T") + zone
    return datetime.datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z").timestamp()
