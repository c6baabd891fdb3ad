import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "target"] },
  {
    files: ["client/**/*.ts"],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
  },
);
