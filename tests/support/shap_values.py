"""Explain titles with shap, in its own environment, and print its values as JSON.

    python shap_values.py FILE

FILE is a JSON list of cases, each with the path of a ``graph``, ``titles`` and ``references``. This file runs without
gamesales.
"""

import json
import sys
from pathlib import Path


def main(cases):
    import numpy as np
    import onnxruntime
    import shap

    results = []
    for case in cases:
        session = onnxruntime.InferenceSession(case["graph"], providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        references, titles = (np.array(case[key], np.float64) for key in ("references", "titles"))

        def predict(rows, session=session, name=name):
            return session.run(None, {name: np.asarray(rows, np.float32)})[0]

        masker = shap.maskers.Independent(references, max_samples=len(references))
        explained = shap.explainers.Exact(predict, masker)(titles, max_evals=1 << titles.shape[1])
        results.append({"means": explained.base_values.tolist(), "values": explained.values.tolist()})
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_bytes()))
