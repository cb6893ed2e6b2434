"""Turns the UCI optdigits text files into the IDX files in optdigits/.

Usage: python3 make_optdigits.py optdigits.tra.gz optdigits.tes.gz
(https://archive.ics.uci.edu/dataset/80, CC BY 4.0: Alpaydin and Kaynak, 1998; each line is 64 pixels from 0 to 16,
then the label.) Pixels are multiplied by 15 to fill most of a byte.
"""

import gzip
import pathlib
import struct
import sys


def write_idx(path, shape, values):
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    # Without a name and a time in the gzip header the same input gives the same bytes.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as stream:
        stream.write(header + bytes(values))


def main():
    folder = pathlib.Path(__file__).parent / "optdigits"
    for source, prefix in zip(sys.argv[1:], ("train", "t10k"), strict=True):
        rows = [[int(field) for field in line.split(",")] for line in gzip.open(source, "rt")]
        pixels = [15 * pixel for row in rows for pixel in row[:64]]
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", (len(rows), 8, 8), pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (len(rows),), [row[64] for row in rows])


main()
