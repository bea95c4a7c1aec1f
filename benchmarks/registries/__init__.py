"""Registries that many write to at once. Each is a module for ``benchmarks/race.py`` and ``benchmarks/lookups.py``.

A module holds, and imports nothing heavy before a registry is opened:

    its docstring      who would do it so, and what its documentation advises
    LABEL              its name in tables
    IMPORTS            the modules that opening and using it needs; they are imported before anything is timed
    SETTINGS           variables of the environment that it needs, set before the imports; none if absent
    ENVIRONMENT        the file of environments/ that it needs, without its suffix; none if absent
    NUMBERED           False if its versions have names instead of numbers from 1 on; True if absent
    Registry           one model's registry in a folder

A registry is opened anew by each process. Versions are text; a token tells one version's content from all others.

    Registry(place)               open the one in the folder ``place``
    create()                      make what must be there before the first version; called once
    publish(token)                register a version that holds the token, and return the version
    set_alias(alias, version)     make an alias name a version
    resolve(alias)                return the version that an alias names, after reading what is told of it
    versions()                    list the versions as its users do
    contents()                    return (version, token) of every version, read from what is stored
    moves()                       return (alias, version) of every time that an alias was set; None without history
"""
