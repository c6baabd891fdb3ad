/** The shape of most cameras. */
const TILE_RATIO = 16 / 9;

/** How many columns make `count` tiles largest in an area of this size, in any unit. */
export function bestColumns(count: number, width: number, height: number): number {
  let best = 1;
  let bestTileWidth = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const tileWidth = Math.min(width / columns, (height / rows) * TILE_RATIO);
    // Equal: side by side, where a face that is cut loses least.
    if (tileWidth >= bestTileWidth) {
      best = columns;
      bestTileWidth = tileWidth;
    }
  }
  return best;
}
