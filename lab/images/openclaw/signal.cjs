// Names that @whiskeysockets/baileys imports from libsignal, which is on GitHub alone: it is loaded by whatever reads OpenClaw's
// plugin interface, and used for WhatsApp only.
const absent = () => {
  throw new Error("the lab has no WhatsApp");
};
exports.deriveSecrets = exports.decrypt = exports.encrypt = exports.generateKeyPair = absent;
exports.calculateMAC = exports.calculateSignature = exports.verifySignature = absent;
