"""The suite as a pyperformance benchmark: `run` of this checkout, with the options of the variant's metadata.

pyperformance installs what requirements.txt names, which is what this project needs; the project itself is run from the
checkout that this file lies in.
"""

import os
import sys
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parents[2])
sys.path.insert(0, CHECKOUT)
os.environ["PYTHONPATH"] = CHECKOUT  # pyperf hands it to its workers

from bench.__main__ import main  # noqa: E402  # found only now

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
