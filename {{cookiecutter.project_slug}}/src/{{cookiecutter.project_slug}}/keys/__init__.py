"""The signing key's life. Nothing outside this package knows how a key is kept."""

from .ring import KeyRing as KeyRing
from .sources import init_app as init_app
from .sources import loaded as loaded
