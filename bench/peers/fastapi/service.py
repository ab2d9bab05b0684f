"""The peer: what a competent developer writes for the projects resource with FastAPI and SQLite.

The same routes, the same fields, the same answers as Steward's `/api/v1/projects` as far as they are measured: get one,
list 50, create. A bearer key is checked on every request, writes are committed with `synchronous=FULL` in WAL mode,
bodies are validated and serialised by pydantic models. Deliberately plain: no cache, no audit, no events, one worker.

Run it with: uvicorn service:app --workers 1, with PEER_DATABASE and PEER_KEY in the environment. PEER_HANDLERS says where
handlers run: `threads` is what FastAPI's documentation does with a blocking database and what most services do, `loop`
blocks the event loop for the short time that SQLite takes, which costs far less CPU and lets one slow query stop everyone.
"""

import base64
import functools
import hmac
import os
import secrets
import sqlite3
import threading
from datetime import UTC, datetime

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field

DATABASE = os.environ["PEER_DATABASE"]
KEY = os.environ["PEER_KEY"]
IN_LOOP = os.environ["PEER_HANDLERS"] == "loop"
COLUMNS = "id, version, name, path, tests_dir_path, description, organization_id, created_at, created_by, updated_at, updated_by"


class ProjectInput(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=200)
    path: str | None = None
    tests_dir_path: str = "tests"
    description: str | None = None
    organization_id: str | None = None


class Project(ProjectInput):
    """What a client gets."""

    id: str
    version: int
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str


class Page(BaseModel):
    """One page of a list."""

    data: list[Project]
    next_cursor: str | None
    has_more: bool


local = threading.local()


def database() -> sqlite3.Connection:
    """One connection per worker thread, opened on first use."""
    connection = getattr(local, "connection", None)
    if connection is None:
        connection = sqlite3.connect(DATABASE, isolation_level=None, timeout=30)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        local.connection = connection
    return connection


def placed(function):
    """Leaves a function to the thread pool, or makes it run in the event loop."""
    if not IN_LOOP:
        return function

    @functools.wraps(function)
    async def in_loop(*arguments, **named):
        return function(*arguments, **named)

    return in_loop


@placed
def authenticated(authorization: str = Header(default="")) -> str:
    """The caller, or 401."""
    scheme, _, presented = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(presented.encode(), KEY.encode()):
        raise HTTPException(401, "invalid credentials")
    return "key_peer"


def create_schema() -> None:
    """The table and the indexes that the measured queries use."""
    connection = database()
    connection.execute(
        """CREATE TABLE IF NOT EXISTS project (
            id TEXT PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL, path TEXT, tests_dir_path TEXT NOT NULL,
            description TEXT, organization_id TEXT, created_at TEXT NOT NULL, created_by TEXT NOT NULL,
            updated_at TEXT NOT NULL, updated_by TEXT NOT NULL) STRICT"""
    )
    connection.execute("CREATE INDEX IF NOT EXISTS project_name ON project (name)")
    connection.execute("CREATE INDEX IF NOT EXISTS project_organization ON project (organization_id)")


create_schema()
app = FastAPI(title="Projects peer", version="1.0.0")


@app.get("/livez")
@placed
def livez() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@app.get("/api/v1/projects")
@placed
def list_projects(
    limit: int = Query(default=50, ge=1, le=500), cursor: str = "", _: str = Depends(authenticated)
) -> Page:
    """The newest projects first, by key and not by offset."""
    try:
        after = base64.urlsafe_b64decode(cursor.encode()).decode() if cursor else "~"
    except ValueError:
        raise HTTPException(422, "cursor: not one of ours") from None
    rows = database().execute(
        f"SELECT {COLUMNS} FROM project WHERE id < ? ORDER BY id DESC LIMIT ?", (after, limit + 1)
    ).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    following = base64.urlsafe_b64encode(rows[-1]["id"].encode()).decode() if more else None
    return Page(data=[Project(**dict(row)) for row in rows], next_cursor=following, has_more=more)


@app.get("/api/v1/projects/{project_id}")
@placed
def get_project(project_id: str, response: Response, _: str = Depends(authenticated)) -> Project:
    """One project."""
    row = database().execute(f"SELECT {COLUMNS} FROM project WHERE id = ?", (project_id,)).fetchone()
    if row is None:
        raise HTTPException(404, "no such project")
    response.headers["ETag"] = f'"{row["version"]}"'
    return Project(**dict(row))


@app.post("/api/v1/projects", status_code=201)
@placed
def create_project(body: ProjectInput, response: Response, caller: str = Depends(authenticated)) -> Project:
    """A new project, acknowledged when it is on disk."""
    now = datetime.now(UTC)
    stamp = now.isoformat().replace("+00:00", "Z")
    project = Project(
        **body.model_dump(),
        id=f"prj_{int(now.timestamp() * 1_000_000):015x}{secrets.token_hex(6)}",
        version=1,
        created_at=stamp,
        created_by=caller,
        updated_at=stamp,
        updated_by=caller,
    )
    database().execute(
        f"INSERT INTO project ({COLUMNS}) VALUES ({', '.join('?' * 11)})",
        [getattr(project, column) for column in COLUMNS.split(", ")],
    )
    response.headers["ETag"] = '"1"'
    return project
