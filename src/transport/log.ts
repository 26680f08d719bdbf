/** What the transport needs of a logger. Fields first, sentence second. */
export interface Log {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  /** Records of this level are written. */
  isLevelEnabled(level: "debug"): boolean;
}
