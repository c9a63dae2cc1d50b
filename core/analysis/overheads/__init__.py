"""What reduced precision costs around the layers that gain by it: one file a kind of finding.

Each has a `find(graph, traffic)`, which reads the engine graph alone and tells what is there. What might mend it is known in
`core.analysis.mends`.
"""
