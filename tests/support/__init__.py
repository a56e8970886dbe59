"""What several tests need: made videos, small networks and corpora, recorded golden values, servers, tolerances.

- `made_videos`, `made_scenes`, `flow_pairs`: videos whose content a test can check
- `small_corpus`, `prepared_folder`: folders of videos, lists of them, and a network that has learnt or could
- `tiny`, `tiny_probe`, `tiny_backbone`, `small_transformer`, `families`: networks that train and predict within a second
- `recorded`: golden values of other toolkits; `recorded_networks`: the networks among them, and how near ours come;
  `layout_variants`: networks in the toolkits' layouts; `old_draws`: the toolkits' random generators; `tensorflow_files`:
  DeepMind's file format; `tolerances`: how far a number may be from a golden value, with the reason
- `planted`: compilers and a clock that do what a test wants; `odd_decoders`: decoders that misbehave; `crashing`: a run
  that crashes in the middle of an epoch
- `servers`, `serving`: servers on this machine
- `command`: the command in the process of the test; `collecting`: a reporter that keeps what it is given; `calibrating`: a
  calibration of all predictions at once
- `command_lines`, `front_page`: what the tests of the documentation read
- `platforms`: on which systems a test can run; `process_tree`: the processes below others
- programs that a test runs in another process: `every_module`, `ray_job`
"""
