"""How auth keeps secrets: sealed with `SIGNING_KEY_SECRET`, each purpose with a key of its own."""

from libs.common.sealing import Seal

__all__ = ["Seal"]
