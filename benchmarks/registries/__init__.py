"""Registries with many writers at once. Each is a module for benchmarks/race.py.

A module holds a docstring, LABEL and perhaps ENVIRONMENT as a contender does, and:

    IMPORTS     the modules that it needs; they are imported before anything is timed
    SETTINGS    environment variables, set before the imports; none by default
    NUMBERED    False if its versions have names instead of numbers from 1; True by default

Each process opens the registry again. Versions are text. A token distinguishes the content of a version.

    Registry(folder)              open the registry of one model in a folder
    create()                      prepare for the first version; called once, if it exists
    publish(token)                register a version that holds the token, and return the version
    set_alias(alias, version)     make an alias point to a version
    resolve(alias)                return the version of an alias, after reading its record
    versions()                    return all versions, as users list them
    contents()                    return (version, token) of every version, read from the store
    moves()                       return (alias, version) of every change of an alias, if there is a history
"""
