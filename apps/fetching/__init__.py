"""Asking strangers' servers over HTTP: what a mail names is fetched only through here.

No Django.

    url      what may be asked for at all
    guard    sockets to addresses that were checked, and one deadline over everything that is done with them
    fetch    one request with its redirects, each guarded anew, and no more of the answer than is wanted
"""
