"""The management plane: objects, revisions, identities, and their distribution to regions and sites.

    api/          HTTPS for people and programs
    deployment    the objects in memory, edits of them, in order
    store         objects, revisions, tokens on disk (SQLite or PostgreSQL)
    publication   what each region and site is to hold, signed
    observation   what comes back: applied revisions, status, presence
    membership    who may join, certificates

Start at `process.py`.
"""
