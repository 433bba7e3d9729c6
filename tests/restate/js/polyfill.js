// Loaded by `--import`, before anything else: SDK 1.17 needs what Node has from version 22 on.

Promise.withResolvers ??= function () {
  const parts = {};
  parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
