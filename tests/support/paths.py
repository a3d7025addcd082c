"""Where things are."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY / ".." / "shared"  # real data beside the repository; may be missing
SUPPORT = REPOSITORY / "tests" / "support"
