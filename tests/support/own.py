"""Ideas of one's own for tests: the files of examples/, and small ones that are wrong."""

from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = '''"""An idea."""
from mmmodel.idea import *
KERNEL = "5.10"
def munlock_vma_pages_range(s, mm, vma, start, end):
    clear_vm_locked(s, vma)
'''


def idea_file(directory: Path, name: str, body: str, head: str = HEAD) -> str:
    """Write an idea whose function goes on with these lines; return its path."""
    path = directory / f"{name}.py"
    path.write_text(head + "".join(f"    {line}\n" for line in body.splitlines()))
    return str(path)
