import { element } from "./dom.ts";
import { texts } from "./texts.ts";
import { tokenIn } from "./token.ts";

export interface SignInOptions {
  /** Why the server requires a token. */
  notice: string;
  onToken(token: string): void;
}

/** The page that asks for a token, on a server that requires one. */
export class SignIn {
  readonly root: HTMLElement;
  readonly #token = element("input", {
    id: "token",
    "data-testid": "token-input",
    type: "password",
    autocomplete: "off",
    "aria-describedby": "token-hint",
  });
  readonly #problem = element("p", { class: "problem", role: "alert", "data-testid": "sign-in-problem" });

  constructor(options: SignInOptions) {
    this.#problem.textContent = options.notice;
    const form = element(
      "form",
      { class: "join", novalidate: true },
      this.#problem,
      element("label", { for: "token" }, texts.token),
      this.#token,
      element("p", { class: "hint", id: "token-hint" }, texts.tokenHint),
      element("button", { type: "submit", class: "primary", "data-testid": "sign-in-button" }, texts.signIn),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = tokenIn(this.#token.value);
      if (token !== undefined) return options.onToken(token);
      this.#problem.textContent = texts.noToken;
      this.focus();
    });
    this.root = element("main", { class: "sign-in" }, element("h1", {}, "Madang"), form);
  }

  focus(): void {
    this.#token.focus();
  }
}
