/** The aspect ratio of most cameras. */
const TILE_RATIO = 16 / 9;

/** The largest width with which `count` tiles fit into an area. All lengths are in pixels. */
export function tileWidth(count: number, width: number, height: number, gap: number): number {
  let largest = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const fittingWidth = (width - gap * (columns - 1)) / columns;
    const fittingHeight = (height - gap * (rows - 1)) / rows;
    largest = Math.max(largest, Math.min(fittingWidth, fittingHeight * TILE_RATIO));
  }
  return Math.floor(largest);
}
