"""URLs of images on web servers, read strictly and without I/O, and which of them a device may ask."""

from .protocol.checks import is_host, is_printable, made_of

_PORTS = {"http": 80, "https": 443}


def split_url(url):
    """(scheme, host in lower case, port, path) of http[s]://host[:port]/path. Raises ValueError.

    A login and a fragment are refused. A query belongs to the path; the URL of the index then ends in ".index" too.
    """
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    host, colon, port = address.lower().partition(":")
    if scheme not in _PORTS or not slash or not is_host(host):
        raise ValueError
    if not is_printable(path, 0, len(path)) or " " in path or "#" in path:
        raise ValueError
    if not colon:
        return scheme, host, _PORTS[scheme], "/" + path
    if not made_of(port, "0123456789", 1, 5) or not 0 < int(port) < 65536:
        raise ValueError
    return scheme, host, int(port), "/" + path


def usable(source, config):
    """Whether `source` of an offer is a URL that a device with this Config may ask."""
    try:
        scheme, host, _, _ = split_url(source)
    except ValueError:
        return False
    return host in config.hosts and (scheme == "http" or config.cafile is not None)
