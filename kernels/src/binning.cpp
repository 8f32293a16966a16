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

}  // namespace

Binned bin(const Target& target, const Projection& p, int64_t count, int64_t bound, const Limits& limits, int width, int height,
           const Binning& out, int threads) {
  std::unique_ptr<uint64_t[]> keys(new uint64_t[2 * count + 1]);
  const int64_t drawn = drawn_by_index(p, count, keys.get());
  const uint64_t* sorted = radix_sort(keys.get(), keys.get() + count, drawn);

  // Each part of the ranks writes what it touches to a stretch of its own, sized by the bounds, and counts it by tile.
  const int parts = threads > 1 ? 4 * threads : 1, tiles = tiles_across(width) * tiles_across(height);
  std::unique_ptr<int64_t[]> first_rank(new int64_t[parts + 1]), stretch(new int64_t[parts + 1]), written(new int64_t[parts + 1]);
  stretch[0] = 0;
  for (int part = 0; part < parts; ++part) {
    first_rank[part] = drawn * part / parts;
    first_rank[part + 1] = drawn * (part + 1) / parts;
    stretch[part + 1] = stretch[part];
    for (int64_t rank = first_rank[part]; rank < first_rank[part + 1]; ++rank) {
      out.ids[rank] = int32_t(uint32_t(sorted[rank]));
      stretch[part + 1] += p.tiles[out.ids[rank]];
    }
  }
  std::unique_ptr<uint32_t[]> tile_of(new uint32_t[bound + 1]);
  std::unique_ptr<uint16_t[]> blocks_of(new uint16_t[bound + 1]);
  std::unique_ptr<int32_t[]> next(new int32_t[int64_t(parts) * tiles]());
  parallel_for(parts, threads, [&](int part, int) {
    int32_t* counts = next.get() + int64_t(part) * tiles;
    int64_t at = stretch[part];
    for (int64_t rank = first_rank[part]; rank < first_rank[part + 1]; ++rank) {
      const int64_t id = out.ids[rank];
      int touched = target.touched_tiles(p.means2d + id * 2, p.shapes + id * 4, limits, width, height, p.tiles[id], tile_of.get() + at,
                                         blocks_of.get() + at);
      for (int i = 0; i < touched; ++i) ++counts[tile_of[at + i]];
      out.first_slots[rank] = touched;
      at += touched;
    }
    written[part] = at - stretch[part];
  });

  int32_t entries = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    out.offsets[tile] = entries;
    for (int part = 0; part < parts; ++part) {
      int32_t here = next[int64_t(part) * tiles + tile];
      next[int64_t(part) * tiles + tile] = entries;
      entries += here;
    }
  }
  out.offsets[tiles] = entries;

  std::unique_ptr<int64_t[]> first_slot(new int64_t[parts + 1]);
  first_slot[0] = 0;
  for (int part = 0; part < parts; ++part) first_slot[part + 1] = first_slot[part] + written[part];
  parallel_for(parts, threads, [&](int part, int) {
    int32_t* cursor = next.get() + int64_t(part) * tiles;
    int64_t at = stretch[part];
    int32_t slot = int32_t(first_slot[part]);
    for (int64_t rank = first_rank[part]; rank < first_rank[part + 1]; ++rank) {
      const int touched = out.first_slots[rank];
      out.first_slots[rank] = slot;
      for (int i = 0; i < touched; ++i, ++at, ++slot) {
        int32_t entry = cursor[tile_of[at]]++;
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
