"""The entry of the pages: ``touchstone ui`` runs this file with Streamlit."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from apps import catalog
from apps.ui import look, session

HERE = Path(__file__).parent

# The icon comes first: without one the browser would fetch the page's own from a font server on the Internet.
st.set_page_config(page_icon=look.LOGO, layout="wide")
st.logo(look.LOGO, size="large")
pages = [
    st.Page(HERE / "views/home.py", title=session.t("home.title"), icon=look.ICONS["home"], default=True),
    *(st.Page(app.path, title=session.t(app.title), icon=app.icon, url_path=app.id) for app in catalog.installed()),
    st.Page(HERE / "views/models.py", title=session.t("models.title"), icon=look.ICONS["models"], url_path="models"),
    st.Page(
        HERE / "views/training.py",
        title=session.t("training_page.title"),
        icon=look.ICONS["training"],
        url_path="training",
    ),
]
if session.allowed("agent"):  # reached from the side of the customer-service page
    desk = HERE / "customer_service/views/desk.py"
    pages.append(st.Page(desk, title=session.t("customer_service.desk.title"), url_path="desk", visibility="hidden"))
if session.allowed("admin"):
    manager = HERE / "customer_service/views/manager.py"
    pages.append(
        st.Page(manager, title=session.t("customer_service.manager.title"), url_path="manager", visibility="hidden")
    )
page = st.navigation(pages, position="top")
session.require_login()
st.set_page_config(page_title=f"{page.title} · {session.t('ui.product')}")
page.run()
