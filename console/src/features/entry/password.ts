/** The fewest characters of a password, as the server has it. */
export const LEAST_PASSWORD = 12;
