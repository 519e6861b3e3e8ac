"""Strings that mean something to SQL, shells, paths, templates or terminals: 60 known ones and 500
made of their parts, the same in every run."""

import random

CLASSIC = (
    "' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE scores; --", "'; DROP TABLE scores; /*",
    '" OR ""="', '"; DROP TABLE scores; --', "`; DROP TABLE scores; --", "') OR ('1'='1",
    "1; DROP TABLE scores", "1 OR 1=1", "1' UNION SELECT 1, 2, 3 --", "x' AND 1=0 UNION ALL SELECT",
    "admin'--", "admin' #", "' HAVING 1=1 --", "' GROUP BY doc_id HAVING 1=1 --", "' ORDER BY 9 --",
    "'; INSERT INTO scores VALUES (1); --", "'; UPDATE scores SET quality = 10000; --",
    "'; DELETE FROM selections; --", "'; TRUNCATE TABLE scores; --", "'; VACUUM scores; --",
    "'; ALTER TABLE scores RENAME TO gone; --", "'; CREATE VIEW selected AS SELECT 1; --",
    "'; SET spark.sql.adaptive.enabled = false; --", "'; ADD JAR /tmp/x.jar; --",
    "x' || (SELECT quality FROM scores LIMIT 1) || '", "x\\' OR 1=1 --", "\\", "\\'", "\\\\'",
    "x\\", "''", "'", '"', "`", "``x``", "--", "/* x */", "/*! x */", ";", "a;b", "a,b", "(a)",
    "${spark.sql.warehouse.dir}", "{{ 7 * 7 }}", "#{7*7}", "%s%s%n", "%27%20OR%201%3D1",
    "../../etc/passwd", "file:///etc/passwd", "delta.`/tmp/x`", "scores VERSION AS OF 0",
    "$(touch /tmp/x)", "a\nb", "a\x00b", "\x1b[2J\x1b[31m", "[red]x[/red]",
    "\u02bc OR \u02bc1\u02bc=\u02bc1", "\u202e' OR 1=1",
)  # fmt: skip

_PARTS = (
    "'", '"', "`", ";", "--", "/*", "*/", "(", ")", " OR ", " AND ", " UNION SELECT ", "1=1",
    "DROP TABLE scores", "SELECT", "\\", "\\'", "%", "_", "$", "{", "}", "[", "]", "#", "@", "|",
    "\n", "\t", "\r", "\x00", "\x1b", " ", "a", "doc_id", "quality", "NULL", "é", "\u02bc",
    "\uff07", "\uff1b", "\u200b", "\ufeff", "\u2028", "\U0001f600",
)  # fmt: skip


def generated(count: int) -> list[str]:
    """So many strings of two to seven parts, none twice and none of them a plain name."""
    draw, found = random.Random(0), dict[str, None]()
    while len(found) < count:
        text = "".join(draw.choices(_PARTS, k=draw.randint(2, 7)))
        if text not in CLASSIC and not text.replace("_", "a").isalnum() and text.strip():
            found[text] = None
    return list(found)


ALL = (*CLASSIC, *generated(500))
