// What html-validate looks for: all that it recommends. A rule that is switched off says why.
export default {
  root: true,
  extends: ["html-validate:recommended"],
  rules: {
    // ARIA lets an aria-label name a list, and a list of figures needs a name.
    "aria-label-misuse": ["error", { allowAnyNamable: true }],
    // The form of Explore is followed as it changes: there is nothing to submit.
    "wcag/h32": "off",
    // The title ends with the organisation's name, however long that is.
    "long-title": "off",
  },
};
