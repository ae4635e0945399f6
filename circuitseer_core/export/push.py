"""Files to the Hugging Face Hub, as a dataset repository.

The token is read from the environment and nowhere else; it is in no file, no command and no
message that this package writes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError, one_line

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def hub_token() -> str:
    """The token from the environment. Raises UserError where none is set."""
    for name in TOKEN_VARIABLES:
        if token := os.environ.get(name, "").strip():
            return token
    raise UserError(
        f"pushing to the Hub needs a token in the environment: set {TOKEN_VARIABLES[0]}"
    )


def hub_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises where the Hub refuses or is out of reach.

    Errors of its HTTP library are none of its own; which library that is depends on its version.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    http = [sys.modules[name].HTTPError for name in ("httpx", "httpx2") if name in sys.modules]
    return (HfHubHTTPError, HFValidationError, OSError, ValueError, *http)


def push_files(
    repo: str,
    files: dict[str, Path],
    message: str = "Add a subset selected with CircuitSeer",
) -> str:
    """Put files (path in the repository → local file) into a dataset repository, in one commit.

    A repository that does not exist yet is made, private. Returns its address.

    Raises:
        UserError: no token, no huggingface_hub, or the Hub refuses or is out of reach.
    """
    token = hub_token()
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError as error:
        raise UserError("pushing needs huggingface_hub: pip install huggingface_hub") from error
    api: Any = HfApi(token=token)
    try:
        api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        api.create_commit(
            repo,
            repo_type="dataset",
            operations=[CommitOperationAdd(name, str(path)) for name, path in files.items()],
            commit_message=message,
        )
    except hub_errors() as error:
        reason = one_line(error).replace(token, "***")
        raise UserError(f"cannot push to {repo}: {reason}") from error
    return f"https://huggingface.co/datasets/{repo}"
