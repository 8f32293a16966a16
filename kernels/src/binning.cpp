// Depth order first, for all splats at once; then each splat is dealt to its tiles in that order, so every tile's list is sorted.
#include <string.h>

#include <memory>

#include "parallel.hpp"
#include "rasterizer.hpp"

namespace splatpaint {

namespace {

// Positive floats order as their bits do. The splat's index below makes ties stable.
int64_t drawn_by_index(const Projection& p, int64_t count, uint64_t* keys) {
  int64_t drawn = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (p.radii[i] <= 0) continue;
    uint32_t bits;
    memcpy(&bits, p.depths + i, 4);
    keys[drawn++] = uint64_t(bits) << 32 | uint64_t(i);
  }
  return drawn;
}

// Least significant digit first over the depth's 32 bits; stable, so ties stay in the order of the splats.
uint64_t* radix_sort(uint64_t* keys, uint64_t* spare, int64_t count) {
  constexpr int kBits = 11, kPasses = 3, kDigits = 1 << kBits;
  std::unique_ptr<int32_t[]> starts(new int32_t[kPasses * kDigits]());
  for (int64_t i = 0; i < count; ++i)
    for (int pass = 0; pass < kPasses; ++pass) ++starts[pass * kDigits + (keys[i] >> (32 + pass * kBits) & (kDigits - 1))];
  for (int pass = 0; pass < kPasses; ++pass) {
    int32_t* start = starts.get() + pass * kDigits;
    int32_t total = 0;
    bool one_digit = false;
    for (int digit = 0; digit < kDigits; ++digit) {
      int32_t here = start[digit];
      one_digit |= here == count;
      start[digit] = total;
      total += here;
    }
    if (one_digit) continue;  // nothing to order by
    for (int64_t i = 0; i < count; ++i) spare[start[keys[i] >> (32 + pass * kBits) & (kDigits - 1)]++] = keys[i];
    uint64_t* sorted = spare;
    spare = keys;
    keys = sorted;
  }
  return keys;
}

// Splats are visited in depth order, which is no order in memory.
void gather_record(const Projection& p, const float* paint, int channels, int64_t id, float* record) {
  record[0] = p.means2d[id * 2];
  record[1] = p.means2d[id * 2 + 1];
  for (int i = 0; i < 4; ++i) record[2 + i] = p.shapes[id * 4 + i];
  for (int c = 0; c < channels; ++c) record[kRecordPaint + c] = paint[id * channels + c];
  record[kRecordPaint + channels] = p.depths[id];
}

void ask_for(const Projection& p, const float* paint, int channels, int64_t id) {
  __builtin_prefetch(p.means2d + id * 2);
  __builtin_prefetch(p.shapes + id * 4);
  __builtin_prefetch(p.depths + id);
  __builtin_prefetch(paint + id * channels);
}

// Ranks that one thread works on, and where it writes what they touch.
struct Part {
  int64_t begin, end;
  int64_t start, room;  // of its stretch
  int64_t touched, first_slot;
};

}  // namespace

Binned bin(const Target& target, const Projection& p, int64_t count, const float* paint, int channels, int stride, int64_t bound,
           const Limits& limits, int width, int height, const Binning& out, int threads) {
  const std::unique_ptr<uint64_t[]> keys(new uint64_t[2 * count + 1]);
  const int64_t drawn = drawn_by_index(p, count, keys.get());
  const uint64_t* sorted = radix_sort(keys.get(), keys.get() + count, drawn);
  const int part_count = threads > 1 ? 4 * threads : 1, tiles = tiles_across(width) * tiles_across(height);
  const std::unique_ptr<Part[]> parts(new Part[part_count]);

  parallel_for(part_count, threads, [&](int index, int) {
    constexpr int kAhead = 16;
    Part& part = parts[index] = {drawn * index / part_count, drawn * (index + 1) / part_count, 0, 0, 0, 0};
    for (int64_t rank = part.begin; rank < part.end; ++rank) {
      if (rank + kAhead < part.end) ask_for(p, paint, channels, uint32_t(sorted[rank + kAhead]));
      const uint32_t id = uint32_t(sorted[rank]);
      out.ids[rank] = int32_t(id);
      part.room += p.tiles[id];
      gather_record(p, paint, channels, id, out.records + rank * stride);
    }
  });
  for (int index = 1; index < part_count; ++index) parts[index].start = parts[index - 1].start + parts[index - 1].room;

  // Each part lists what it touches in a stretch of its own, and counts it by tile.
  const std::unique_ptr<uint32_t[]> tile_of(new uint32_t[bound + 1]);
  const std::unique_ptr<uint64_t[]> blocks_of(new uint64_t[bound + 1]);
  const std::unique_ptr<int32_t[]> next(new int32_t[int64_t(part_count) * tiles]());
  parallel_for(part_count, threads, [&](int index, int) {
    Part& part = parts[index];
    const uint32_t* touched = tile_of.get() + part.start;
    part.touched = target.touch({out.records, stride, channels}, limits, width, height, part.begin, part.end,
                                {tile_of.get() + part.start, blocks_of.get() + part.start, part.room, out.first_slots});
    int32_t* counts = next.get() + int64_t(index) * tiles;
    for (int64_t i = 0; i < part.touched; ++i) ++counts[touched[i]];
  });

  int32_t entries = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    out.offsets[tile] = entries;
    for (int index = 0; index < part_count; ++index) {
      int32_t& cursor = next[int64_t(index) * tiles + tile];
      const int32_t here = cursor;
      cursor = entries;
      entries += here;
    }
  }
  out.offsets[tiles] = entries;

  for (int index = 1; index < part_count; ++index) parts[index].first_slot = parts[index - 1].first_slot + parts[index - 1].touched;
  parallel_for(part_count, threads, [&](int index, int) {
    const Part& part = parts[index];
    int32_t* cursor = next.get() + int64_t(index) * tiles;
    int64_t at = part.start;
    int32_t slot = int32_t(part.first_slot);
    for (int64_t rank = part.begin; rank < part.end; ++rank) {
      const int touched = out.first_slots[rank];
      out.first_slots[rank] = slot;
      for (int i = 0; i < touched; ++i, ++at, ++slot) {
        const int32_t entry = cursor[tile_of[at]]++;
        out.ranks[entry] = int32_t(rank);
        out.blocks[entry] = blocks_of[at];
        out.entries[slot] = entry;
      }
    }
  });
  out.first_slots[drawn] = entries;
  return {drawn, entries};
}

}  // namespace splatpaint
