"""Networks that know no task: backbones, necks, losses."""
