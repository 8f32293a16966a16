from pathlib import Path

import yaml

PUBLISHED = Path(__file__).resolve().parents[2] / "benchmarks" / "baselines" / "published.yaml"


def test_every_published_figure_has_a_source_and_a_protocol():
    entries = yaml.safe_load(PUBLISHED.read_text())
    assert len(entries) >= 5
    for entry in entries:
        assert "arXiv" in entry["source"]
        assert len(entry["protocol"]) > 5
        for scores in entry["figures"].values():
            assert all(isinstance(value, (int, float)) for value in scores.values())
