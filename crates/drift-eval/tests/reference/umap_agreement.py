"""How well planes keep the neighbours of sentence embeddings: ours and umap-learn's, with the same settings, on the same
points. Trustworthiness (Venna & Kaski 2001) is 1 where no point comes near on the plane that was not near before.

    pip install umap-learn scikit-learn
    cargo build --release -p drift-eval --example plane
    python umap_agreement.py target/release/examples/plane EMBEDDINGS.npy     # rows of length 1
"""

import subprocess
import sys

import numpy
import umap
from sklearn.manifold import trustworthiness

program, path = sys.argv[1:]
points = numpy.load(path)
text = "\n".join(" ".join(map(str, row)) for row in points)
print(f"{len(points)} points of {points.shape[1]} dimensions; trustworthiness at 5, 15, 30 neighbours")
for seed in [1, 2, 3]:
    ours = subprocess.run([program, str(seed)], input=text, capture_output=True, text=True, check=True).stdout
    planes = {
        "ours": numpy.array([line.split() for line in ours.splitlines()], dtype=float),
        "umap-learn": umap.UMAP(n_neighbors=15, min_dist=0.1, metric="cosine", init="pca", n_epochs=500, random_state=seed).fit_transform(points),
    }
    for name, plane in planes.items():
        kept = [trustworthiness(points, plane, n_neighbors=k, metric="cosine") for k in [5, 15, 30]]
        print(f"seed {seed}  {name:<11}", *(f"{share:.4f}" for share in kept))
