"""How the bundled model is made: compose music whose contents are known, render it, train, evaluate.

python -m labeling.recipe render OUT ...     pieces -> mel shards with their facts
python -m labeling.recipe train OUT ...      mel shards -> a ClapModel folder
python -m labeling.recipe evaluate MODEL ... figures on pieces of a soundfont never trained on
python -m labeling.recipe demo-music OUT     the tracks in `examples/demo_music`
"""
