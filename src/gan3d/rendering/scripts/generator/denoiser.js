// The denoiser (see gan3d.networks.denoiser): occupancy becomes the logits of a cleaner shape.

export class Denoiser {
  // build: makes layers and grids; levels: of the generator, coarsest first, whose grids it uses; depth: levels that it encodes.
  constructor(build, levels, { depth }) {
    this.levels = levels.slice(-depth).reverse();  // finest first
    this.input = build.grid(this.levels[0].side, 1, 1);
    this.encoders = this.levels.map(({ side, key, grids }, i) => {
      const source = i ? build.grid(side, this.levels[i - 1].width) : this.input;
      return { source, convolution: build.convolution(`denoiser_encode_${key}`, source, grids[0]) };
    });
    const [a, b] = this.levels.at(-1).grids;
    this.middle = build.convolution("denoiser_middle", a, b);
    this.decoders = this.levels.slice(0, -1).map(({ key, grids: [skip, grid] }, i) => ({
      up: build.convolution(`denoiser_decode_${key}_up`, this.levels[i + 1].grids[0], grid),
      same: build.convolution(`denoiser_decode_${key}_same`, grid, skip),
    }));
    this.head = build.head("denoiser_head");
  }

  // Logits, float32 (side³).
  run(occupancy) {
    this.input.fill(occupancy.map((share) => 2 * share - 1));
    for (const [i, { source, convolution }] of this.encoders.entries()) {
      const [skip] = this.levels[i].grids;
      if (i) source.pool(this.levels[i - 1].grids[0]);
      convolution.run(source, skip);
      skip.activate();
    }
    const [a, b] = this.levels.at(-1).grids;
    this.middle.run(a, b);
    b.activate();
    let x = b;
    for (let i = this.decoders.length - 1; i >= 0; i--) {
      const { up, same } = this.decoders[i], [skip, grid] = this.levels[i].grids;
      up.run(x, grid);
      grid.activate();
      grid.add(skip);
      same.run(grid, skip);
      skip.activate();
      x = skip;
    }
    return this.head.run(x);
  }
}
