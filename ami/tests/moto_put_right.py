"""moto's server with the three things put right without which no client that looks at the answers gets to the end: moto
tells blocks of 512 bytes where AWS has 524288, and of RegisterImage and CopyImage it drops the tags, and of RegisterImage
the snapshot that the image is made of, too. Everything else is moto's own.

usage: python moto_put_right.py PORT
"""

import sys

import moto.ebs.models as ebs
import moto.ec2.responses.amis as responses
from moto.server import main

new_snapshot = ebs.EBSSnapshot.__init__


def with_block_size(self, *arguments, **named):
    new_snapshot(self, *arguments, **named)
    self.block_size = 524288


def finish(handler):
    """Has a handler that makes an image keep what the request says about it."""

    def handle(self):
        before = set(self.ec2_backend.amis)
        answer = handler(self)
        (made,) = set(self.ec2_backend.amis) - before
        image = self.ec2_backend.amis[made]
        for specification in self._get_param("TagSpecifications", []):
            tags = {tag["Key"]: tag["Value"] for tag in specification["Tags"]}
            if specification["ResourceType"] == "image":
                image.add_tags(tags)
        for mapping in self._get_param("BlockDeviceMappings", []):
            snapshot = mapping.get("Ebs", {}).get("SnapshotId")
            if snapshot:
                image.ebs_snapshot = self.ec2_backend.get_snapshot(snapshot)
                image.root_device_name = mapping["DeviceName"]
        return answer

    return handle


ebs.EBSSnapshot.__init__ = with_block_size
for name in ["register_image", "copy_image"]:
    setattr(responses.AmisResponse, name, finish(getattr(responses.AmisResponse, name)))

if __name__ == "__main__":
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
