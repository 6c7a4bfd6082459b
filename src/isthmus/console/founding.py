"""The first start of a deployment, and the console's own identity at every start."""

import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

import structlog

from isthmus.console.cipher import Cipher
from isthmus.console.error import ConsoleError
from isthmus.console.keyring import SECRETS_KEY, Keyring
from isthmus.console.membership import issued_certificate
from isthmus.console.settings import ConsoleSettings, is_wildcard, split_address
from isthmus.console.store import Store
from isthmus.console.token import create_api_token, save_admin_token
from isthmus.console.vault import Vault
from isthmus.identity import (
    Credential,
    CredentialDirectory,
    Identity,
    IdentityError,
    NameInvalid,
    Role,
    generate_key,
    make_csr,
    parse_certificates,
)

_LOCAL = ("localhost", "127.0.0.1", "::1")
_log = structlog.get_logger()


def prepare_state(state: Path) -> None:
    """Make the state directory, readable by its owner alone.

    Raises:
        ConsoleError: it cannot be made or written.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "lock").touch(mode=0o600)
    except OSError as error:
        raise ConsoleError(f"The state directory {state} cannot be used: {error.strerror}.") from error


def open_keyring(settings: ConsoleSettings, store: Store) -> Keyring:
    """The deployment's keys; made, with trust domain and administrator's token, when the store is empty.

    Raises:
        ConsoleError: store and state directory do not belong together.
    """
    facts = store.facts()
    if "trust_domain" not in facts:
        return _found(settings, store)
    if settings.trust_domain not in (None, facts["trust_domain"]):
        raise ConsoleError(
            f"This deployment's trust domain is {facts['trust_domain']} and cannot become {settings.trust_domain}."
        )
    keyring = Keyring.load(settings.state, facts["trust_domain"])
    if keyring.authority.fingerprint != facts["authority"]:
        raise ConsoleError(
            f"The authority in {settings.state / 'authority'} is not of the deployment in the database "
            f"({facts['trust_domain']}): use the state directory of its console, or restore a backup."
        )
    keyring.publish(settings.state)
    return keyring


def _found(settings: ConsoleSettings, store: Store) -> Keyring:
    """Found a deployment. The facts are stored last: a start that breaks off before is a first start again."""
    now = datetime.now(UTC)
    trust_domain = settings.trust_domain or f"{secrets.token_hex(4)}.isthmus.internal"
    try:
        Identity(trust_domain, Role.CONSOLE)
    except NameInvalid as error:
        raise ConsoleError(str(error)) from error
    if (settings.state / "authority" / "authority.key").exists():
        _log.warning("authority.replaced", directory=str(settings.state / "authority"), reason="the database is empty")
    keyring = Keyring.create(trust_domain, now)
    keyring.save(settings.state)
    token, secret = create_api_token("admin", "admin", now)
    path = save_admin_token(settings.state, secret)
    store.add_api_token(token)
    store.put_facts({"trust_domain": trust_domain, "authority": keyring.authority.fingerprint, "epoch": "1"})
    _log.info("deployment.founded", trust_domain=trust_domain)
    _log.info("admin_token.created", path=str(path))
    return keyring


def open_vault(settings: ConsoleSettings, store: Store) -> Vault:
    """The private values, with the key to them; it is made when there are none yet.

    Raises:
        ConsoleError: the key is missing, or not the one that they are encrypted under.
    """
    path = settings.secrets_key or settings.state / "authority" / SECRETS_KEY
    if not path.exists() and not store.private_values():
        try:
            Cipher.create().save(path)
        except OSError as error:
            raise ConsoleError(f"{path} cannot be written: {error.strerror}.") from error
        _log.info("secrets_key.created", path=str(path))
    return Vault.load(store, Cipher.load(path))


def open_credential(settings: ConsoleSettings, keyring: Keyring, store: Store) -> Credential:
    """The console's certificate for API and stream, renewed when it is due or its names changed."""
    directory = CredentialDirectory(settings.state / "identity")
    now = datetime.now(UTC)
    hosts = server_hosts(settings)
    if directory.exists:
        try:
            known = directory.load()
            keyring.authority.verify(known.chain_pem, now)
            if not known.due(now) and _names(known) >= set(hosts):
                return known
        except (IdentityError, ValueError) as error:
            _log.warning("credential.replaced", reason=str(error))
    return issue_credential(settings, keyring, store)


def issue_credential(settings: ConsoleSettings, keyring: Keyring, store: Store) -> Credential:
    """A new key and certificate for the console, saved."""
    now = datetime.now(UTC)
    key = generate_key()
    identity = Identity(keyring.authority.trust_domain, Role.CONSOLE)
    chain = keyring.authority.issue(make_csr(key), identity, now, hosts=server_hosts(settings))
    store.add_certificate(issued_certificate(chain, "console", now))
    credential = Credential(key, chain, keyring.trust)
    CredentialDirectory(settings.state / "identity").save(credential)
    return credential


def server_hosts(settings: ConsoleSettings) -> tuple[str, ...]:
    """Names and addresses in the console's certificate."""
    hosts = [*settings.advertise, *_LOCAL]
    for listen in (settings.listen, settings.stream):
        host, _ = split_address(listen)
        if not is_wildcard(host):
            hosts.append(host)
    return tuple(dict.fromkeys(hosts))


def api_urls(settings: ConsoleSettings, port: int) -> tuple[str, ...]:
    """Where join tokens say that the API is: the advertised names, else the address it listens on, else this host's
    name."""
    host, _ = split_address(settings.listen)
    hosts = settings.advertise or ((socket.getfqdn(), "127.0.0.1") if is_wildcard(host) else (host,))
    return tuple(f"https://{f'[{host}]' if ':' in host else host}:{port}" for host in hosts)


def _names(credential: Credential) -> set[str]:
    from cryptography import x509

    leaf = parse_certificates(credential.chain_pem)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *(str(address) for address in addresses)}
