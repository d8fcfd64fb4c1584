"""moto's server with the four things put right without which no client that looks at the answers gets to the end: moto
tells blocks of 512 bytes where AWS has 524288, and of RegisterImage and CopyImage it drops the tags, and of RegisterImage
the snapshot that the image is made of, too; and of RunInstances it wants the snapshot of the root disk to be named, which AWS
knows from the image. Everything else is moto's own.

usage: python moto_put_right.py PORT
"""

import sys

import moto.ebs.models as ebs
import moto.ec2.responses.amis as responses
import moto.ec2.responses.instances as instances
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


parse_disks = instances.InstanceResponse._parse_block_device_mapping


def with_root_disk(self):
    """Has the root disk made of the image's snapshot if the request does not say what it is made of."""
    image = self.ec2_backend.amis.get(self._get_param("ImageId"))
    for mapping in self._get_param("BlockDeviceMappings", []):
        if image is not None and mapping["DeviceName"] == image.root_device_name:
            mapping["Ebs"].setdefault("SnapshotId", image.ebs_snapshot.id)
    return parse_disks(self)


instances.InstanceResponse._parse_block_device_mapping = with_root_disk
ebs.EBSSnapshot.__init__ = with_block_size
for name in ["register_image", "copy_image"]:
    setattr(responses.AmisResponse, name, finish(getattr(responses.AmisResponse, name)))

if __name__ == "__main__":
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
