"""System: what works here and why not, who works, what is used."""

from __future__ import annotations

import os
import platform

import streamlit as st

import core
from core.base.units import plural, size
from core.benchmark.machine import memory_limit, processor, usable_cpus
from core.jobs.database import is_local, shown
from core.storage.store import STORE_VARIABLE
from dashboard import services
from dashboard.components.disk_use import show_disk
from dashboard.components.offers_table import show_backends_table, show_conversions_table
from dashboard.components.walls_table import show_walls_table
from dashboard.components.workers_list import show_workers
from dashboard.formatting import plain

st.title("System")
show_workers()

backends, disk = st.columns(2, gap="large")
with backends:
    st.header("Backends on this machine")
    show_backends_table()
    st.header("Conversions")
    show_conversions_table()
    st.header("Walls around models")
    show_walls_table()
with disk:
    st.header("Disk")
    show_disk()
    st.header("This machine")
    queue = services.queue()
    kind = "SQLite in the workspace: for this host" if is_local(queue.url) else "Postgres: for several hosts"
    facts = {
        "Processor": f"{plain(processor())}, {plural(len(usable_cpus()), 'core')}, {size(memory_limit())} of memory",
        "Versions": f"Engine Room {core.__version__}, Python {platform.python_version()}, Streamlit {st.__version__}",
        "Queue": f"{kind} · {plain(shown(queue.url))}",
        "Store": plain(os.environ[STORE_VARIABLE]) if os.environ.get(STORE_VARIABLE) else "the workspace itself",
        "Workspace": plain(str(services.workspace().root)),
    }
    st.markdown("  \n".join(f"**{name}** · {value}" for name, value in facts.items()))
