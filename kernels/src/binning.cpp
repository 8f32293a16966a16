// Appends each splat to the lists of the tiles that it touches, in the order of the splats, then sorts every tile's list by depth.
// Memory access is sequential and every step runs on all threads.
#include <string.h>

#include <memory>

#include "parallel.hpp"
#include "rasterizer.hpp"

namespace splatpaint {

namespace {

// A range of splats that one thread processes, and its range of the arrays of touched tiles.
struct Part {
  int64_t begin, end;
  int64_t start, capacity;  // of the range in the arrays of touched tiles
  int64_t touched, first_slot;
};

struct Entry {
  uint64_t blocks;
  uint32_t depth;  // bits of a positive float, which order as the float does
  int32_t splat, slot;
};

void pack_records(const Projection& p, const float* paint, int channels, int stride, int64_t begin, int64_t end, float* records) {
  for (int64_t i = begin; i < end; ++i) {
    if (p.radii[i] <= 0) continue;
    float* record = records + i * stride;
    record[0] = p.means2d[i * 2];
    record[1] = p.means2d[i * 2 + 1];
    for (int j = 0; j < 4; ++j) record[2 + j] = p.shapes[i * 4 + j];
    for (int c = 0; c < channels; ++c) record[kRecordPaint + c] = paint[i * channels + c];
    record[kRecordPaint + channels] = 1.0f / p.depths[i];
  }
}

// Stable radix sort by the upper halves of the keys, least significant digit first. Returns the buffer that holds the result.
const uint64_t* radix_sort(uint64_t* keys, uint64_t* spare, int32_t count) {
  constexpr int kBits = 8, kPasses = 4, kDigits = 1 << kBits;
  int32_t starts[kPasses][kDigits] = {};
  for (int32_t i = 0; i < count; ++i)
    for (int pass = 0; pass < kPasses; ++pass) ++starts[pass][keys[i] >> (32 + pass * kBits) & (kDigits - 1)];
  for (int pass = 0; pass < kPasses; ++pass) {
    const int shift = 32 + pass * kBits;
    int32_t* start = starts[pass];
    if (start[keys[0] >> shift & (kDigits - 1)] == count) continue;  // all digits are equal
    int32_t total = 0;
    for (int digit = 0; digit < kDigits; ++digit) {
      const int32_t here = start[digit];
      start[digit] = total;
      total += here;
    }
    for (int32_t i = 0; i < count; ++i) spare[start[keys[i] >> shift & (kDigits - 1)]++] = keys[i];
    uint64_t* sorted = spare;
    spare = keys;
    keys = sorted;
  }
  return keys;
}

// The entries of one tile are in the order of the splats, so a stable sort breaks ties by index.
void sort_tile(const Entry* unsorted, int32_t begin, int32_t end, uint64_t* keys, const Binning& out) {
  const int32_t count = end - begin;
  if (!count) return;
  for (int32_t i = 0; i < count; ++i) keys[i] = uint64_t(unsorted[begin + i].depth) << 32 | uint32_t(i);
  const uint64_t* sorted = radix_sort(keys, keys + count, count);
  for (int32_t i = 0; i < count; ++i) {
    const Entry& entry = unsorted[begin + int32_t(uint32_t(sorted[i]))];
    out.splats[begin + i] = entry.splat;
    out.blocks[begin + i] = entry.blocks;
    out.slots[begin + i] = entry.slot;
  }
}

}  // namespace

int64_t bin(const Target& target, const Projection& p, int64_t count, const float* paint, int channels, int stride, int64_t bound,
            const Limits& limits, int width, int height, const Binning& out, int threads) {
  const int part_count = threads > 1 ? 4 * threads : 1, tiles = tiles_across(width) * tiles_across(height);
  const std::unique_ptr<Part[]> parts(new Part[part_count]);
  int64_t start = 0;
  for (int index = 0; index < part_count; ++index) {
    Part& part = parts[index] = {count * index / part_count, count * (index + 1) / part_count, start, 0, 0, 0};
    for (int64_t i = part.begin; i < part.end; ++i) part.capacity += p.tiles[i];
    start += part.capacity;
  }

  // Each part writes the tiles that it touches into a range of its own and counts the entries of each tile.
  const std::unique_ptr<uint32_t[]> tile_of(new uint32_t[bound + 1]);
  const std::unique_ptr<uint64_t[]> blocks_of(new uint64_t[bound + 1]);
  const std::unique_ptr<int32_t[]> next(new int32_t[int64_t(part_count) * tiles]());
  parallel_for(part_count, threads, [&](int index, int) {
    Part& part = parts[index];
    pack_records(p, paint, channels, stride, part.begin, part.end, out.records);
    const uint32_t* touched = tile_of.get() + part.start;
    part.touched = target.touch(p, limits, width, height, part.begin, part.end,
                                {tile_of.get() + part.start, blocks_of.get() + part.start, part.capacity, out.first_slots});
    int32_t* counts = next.get() + int64_t(index) * tiles;
    for (int64_t i = 0; i < part.touched; ++i) ++counts[touched[i]];
  });

  int32_t entries = 0, longest = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    out.offsets[tile] = entries;
    for (int index = 0; index < part_count; ++index) {
      int32_t& cursor = next[int64_t(index) * tiles + tile];
      const int32_t here = cursor;
      cursor = entries;
      entries += here;
    }
    longest = entries - out.offsets[tile] > longest ? entries - out.offsets[tile] : longest;
  }
  out.offsets[tiles] = entries;
  for (int index = 1; index < part_count; ++index) parts[index].first_slot = parts[index - 1].first_slot + parts[index - 1].touched;

  const std::unique_ptr<Entry[]> unsorted(new Entry[entries]);
  parallel_for(part_count, threads, [&](int index, int) {
    const Part& part = parts[index];
    int32_t* cursor = next.get() + int64_t(index) * tiles;
    int64_t at = part.start;
    int32_t slot = int32_t(part.first_slot);
    for (int64_t i = part.begin; i < part.end; ++i) {
      const int touched = out.first_slots[i];
      out.first_slots[i] = slot;
      uint32_t depth;
      memcpy(&depth, p.depths + i, 4);
      for (int j = 0; j < touched; ++j, ++at, ++slot) unsorted[cursor[tile_of[at]]++] = {blocks_of[at], depth, int32_t(i), slot};
    }
  });
  out.first_slots[count] = entries;

  const std::unique_ptr<uint64_t[]> keys(new uint64_t[2 * int64_t(longest) * threads]);
  parallel_for(tiles, threads, [&](int tile, int thread) {
    sort_tile(unsorted.get(), out.offsets[tile], out.offsets[tile + 1], keys.get() + 2 * int64_t(longest) * thread, out);
  });
  return entries;
}

}  // namespace splatpaint
