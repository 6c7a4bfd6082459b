"""The origin, and the proxies that the compiled gateway is compared with: each by hand, as small as it can be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.machine import envoy_binary
from bench.process import free_port, program, running, wait_listening

BODY = "x" * 1024


@dataclass(frozen=True, slots=True)
class Server:
    """Something that answers HTTP: its port on 127.0.0.1 and its process (with descendants)."""

    port: int
    pid: int
    host: str | None = None
    tls: bool = False

    @property
    def url(self) -> str:
        """With TLS by name: the proxies choose a certificate by it."""
        return f"https://localhost:{self.port}/" if self.tls else f"http://127.0.0.1:{self.port}/"


@contextlib.contextmanager
def origin(folder: Path, on: str) -> Iterator[Server]:
    """nginx answering every request with 1 KiB from memory, connections kept for ever."""
    port = free_port()
    server = f"""
        access_log off;
        server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{BODY}"; }} }}"""
    with _nginx(folder / "origin", server, port, on) as pid:
        yield Server(port, pid)


@contextlib.contextmanager
def nginx(folder: Path, upstream: int, on: str, pem: Path | None = None) -> Iterator[Server]:
    """nginx as a reverse proxy with kept-alive upstream connections and its usual access log.

    `pem`: chain and key, to speak TLS with HTTP/1.1 and HTTP/2.
    """
    port = free_port()
    log = folder / "nginx" / "access.log"
    tls = (
        f"""
            ssl_certificate {pem};
            ssl_certificate_key {pem};
            ssl_protocols TLSv1.2 TLSv1.3;
            http2_max_requests 1000000000;"""
        if pem
        else ""
    )
    server = f"""
        access_log {log} combined;
        upstream origin {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
        server {{
            listen 127.0.0.1:{port} {"ssl http2" if pem else ""} backlog=4096;{tls}
            location / {{
                proxy_pass http://origin;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
            }}
        }}"""
    with _nginx(folder / "nginx", server, port, on) as pid:
        yield Server(port, pid, tls=pem is not None)


@contextlib.contextmanager
def _nginx(folder: Path, http: str, port: int, on: str) -> Iterator[int]:
    folder.mkdir(parents=True)
    config = folder / "nginx.conf"
    temporary = "\n".join(
        f"        {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(f"""
    daemon off;
    master_process off;
    pid {folder}/nginx.pid;
    error_log {folder}/error.log warn;
    events {{ worker_connections 4096; }}
    http {{
        keepalive_timeout 3600s;
        keepalive_requests 1000000000;
{temporary}
{http}
    }}
    """)
    log = folder / "output.log"
    command = [program("nginx"), "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
    with running(command, log, on=on) as child:
        wait_listening(port, child, log)
        yield child.pid


@contextlib.contextmanager
def haproxy(folder: Path, upstream: int, on: str, pem: Path | None = None) -> Iterator[Server]:
    """HAProxy with one thread, kept-alive connections on both sides and its HTTP log to a file.

    `pem`: chain and key, to speak TLS with HTTP/1.1 and HTTP/2.
    """
    (folder / "haproxy").mkdir(parents=True)
    port = free_port()
    config = folder / "haproxy" / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
    maxconn 4096
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    http-reuse always
    timeout connect 5s
    timeout client 3600s
    timeout server 3600s
frontend gateway
    bind 127.0.0.1:{port}{f" ssl crt {pem} alpn h2,http/1.1" if pem else ""}
    default_backend origin
backend origin
    server origin 127.0.0.1:{upstream}
""")
    log = folder / "haproxy" / "access.log"
    with running([program("haproxy"), "-db", "-f", str(config)], log, on=on) as child:
        wait_listening(port, child, log)
        yield Server(port, child.pid, tls=pem is not None)


@contextlib.contextmanager
def minimal_envoy(folder: Path, upstream: int, on: str) -> Iterator[Server]:
    """The least Envoy that proxies: one listener, one route, one cluster, no access log, one worker."""
    (folder / "minimal").mkdir(parents=True)
    port = free_port()
    config = folder / "minimal" / "envoy.yaml"
    config.write_text(f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: minimal
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: origin}}}}]
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
""")
    log = folder / "minimal" / "output.log"
    command = [str(envoy_binary()), "-c", str(config), "--concurrency", "1", "--log-level", "warn"]
    with running([*command, "--use-dynamic-base-id"], log, on=on) as child:
        wait_listening(port, child, log)
        yield Server(port, child.pid)
