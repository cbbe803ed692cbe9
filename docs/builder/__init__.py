"""How the site is built: what MkDocs calls, and what it is given beside the pages under docs/."""
