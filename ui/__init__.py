"""What several pages share and needs Streamlit: shell, charts, components. No page lives here."""
