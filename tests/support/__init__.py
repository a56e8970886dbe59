"""What several tests need: made videos, small networks and corpora, recorded golden values, servers, tolerances.

- `made_videos`, `made_scenes`, `flow_pairs`: videos whose content a test can check
- `tiny`, `tiny_probe`, `small_transformer`, `families`: networks that train and predict within a second
- `recorded`: golden values of other toolkits; `tolerances`: how far a number may be from one, with the reason
- `servers`, `serving`: servers on this machine
- `command_lines`, `front_page`, `prepared_folder`, `platforms`: what the tests of the documentation read and run
- scripts that a test runs in a process: `every_module`, `ray_job`, `crashing`
"""
